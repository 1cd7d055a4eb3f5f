"""Training: a folder of pictures in, weights with their card out."""

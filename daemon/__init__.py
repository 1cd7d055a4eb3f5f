"""The service: which files are new, what is queued, what is delivered. Light: never imports TensorFlow."""

"""The resources. They translate and decide nothing: a request to a verb of the dispatcher, its answer to a form."""

"""The description of the API: OpenAPI 3.1, put together from the value classes and the table of routes."""

"""The Chat Completions protocol without any network: requests to bytes, bytes to completions or errors."""

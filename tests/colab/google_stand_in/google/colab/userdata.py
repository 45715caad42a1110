class SecretNotFoundError(Exception):
    pass


def get(key):
    raise SecretNotFoundError(key)

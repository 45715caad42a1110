from google.colab import record


def download(filename):
    with open(filename, "rb"):
        record("download", filename=filename)

import urllib.request

from google.colab import record


def serve_kernel_port_as_iframe(
    port, path="/", width="100%", height="400", cache_in_notebook=False
):
    # As the browser would: the frame fetches the page at once.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=30) as reply:
        page = reply.read().decode()
        record("frame", port=port, height=height, status=reply.status, has_app="gradio" in page)

"""Serves the page: opens the services, keeps private files private, runs until told to stop.

Jobs are processes of their own: ending the server leaves them at work, and the next server finds
them again.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from pathlib import Path

from medqlora.errors import SessionError
from medqlora.services import Services, claim_workspace
from ui import theme, wording
from ui.layout import build_page

USER = "owner"
PASSWORD_BYTES = 24
SESSIONS_KEPT = 100


def serve(
    *,
    host: str,
    port: int,
    workspace: Path,
    share: bool,
    max_upload_mb: int,
    mirror: str | None = None,
) -> None:
    """Serves the page until SIGINT or SIGTERM.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        workspace: Folder of runs, adapters and prepared data.
        share: Whether to also make a public link through Gradio's servers.
        max_upload_mb: Largest file that is taken, in megabytes.
        mirror: Where runs are copied to from now on, or `off`; as before when not given.

    Raises:
        MedQLoRAError: The workspace or the port cannot be used.
    """
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    services = Services.open(workspace, mirror=mirror)
    claim = claim_workspace(services.workspace)
    private = Path(tempfile.mkdtemp(prefix="medqlora-page-"))
    try:
        services.attach()
        _keep_private(private)
        _serve(services, host=host, port=port, share=share, max_upload_mb=max_upload_mb)
    finally:
        services.close()
        os.close(claim)
        shutil.rmtree(private, ignore_errors=True)


def _serve(services: Services, *, host: str, port: int, share: bool, max_upload_mb: int) -> None:
    page = build_page(services)
    # Every handler goes through the queue: the direct way in would pass its limits by.
    page.queue(api_open=False)
    stop = _until_told_to_stop()
    # Who is at this machine needs no login; as soon as others can reach the page, everybody does.
    password = secrets.token_urlsafe(PASSWORD_BYTES) if share or not _is_loopback(host) else ""
    try:
        _, url, public_url = page.launch(
            auth=(USER, password) if password else None,
            auth_message=wording.LOGIN if password else None,
            server_name=host,
            server_port=port,
            share=share,
            prevent_thread_lock=True,
            inbrowser=False,
            quiet=True,
            show_error=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            max_file_size=f"{max_upload_mb}mb",
            state_session_capacity=SESSIONS_KEPT,
            allowed_paths=[str(theme.plotly_file())],
            blocked_paths=[str(services.workspace.root)],
            theme=theme.make_theme(),
            css=theme.stylesheet(),
            head=theme.head(),
        )
    except OSError as error:
        raise SessionError(
            f"Port {port} cannot be used.", hint="Choose another one with --port, for example 7861."
        ) from error
    _say_where(url, public_url, share=share)
    if password:
        print(f"Login: user {USER}, password {password}", flush=True)
    stop.wait()
    print("Stopping the page; a training that is going on goes on.", flush=True)
    page.close(verbose=False)


def _keep_private(private: Path) -> None:
    """Makes both folders that Gradio serves from, its own and the working one, our own."""
    empty = private / "empty"
    empty.mkdir()
    os.environ["GRADIO_TEMP_DIR"] = str(private / "files")
    os.chdir(empty)


def _until_told_to_stop() -> threading.Event:
    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stop.set())
    return stop


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _say_where(url: str, public_url: str | None, *, share: bool) -> None:
    print(f"medqlora is ready: {url}", flush=True)
    if public_url:
        print(f"Public link: {public_url}", flush=True)
    elif share:
        print(
            "No public link could be made, so the page is served on this machine only.", flush=True
        )

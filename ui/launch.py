"""Serves the page: opens the services, keeps private files private, runs until told to stop.

Jobs are processes of their own: ending the server leaves them at work, and the next server finds
them again.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from starlette.middleware import Middleware

from medqlora.errors import SessionError
from medqlora.services import Services, claim_workspace
from ui import people_panel, theme
from ui.access import Door, without_foreign_origins
from ui.door.audit import AuditLog
from ui.door.connections import allow_many_files, be_impatient
from ui.door.keys import KeyRing
from ui.door.quiet import keep_values_out_of_the_log
from ui.door.uploads import UploadRules, sweep
from ui.door.visitors import Access
from ui.layout import UPLOADS_CHECKED_EVERY, UPLOADS_KEPT, build_page

SESSIONS_KEPT = 100
AUDIT_LOG = "audit.jsonl"


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
        mirror: Where runs and datasets are copied to, or `off`; as before when not given.

    Raises:
        MedQLoRAError: The workspace or the port cannot be used.
    """
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    keep_values_out_of_the_log()
    services = Services.open(workspace, mirror=mirror)
    claim = claim_workspace(services.workspace)
    private = Path(tempfile.mkdtemp(prefix=f"medqlora-page-{os.getpid()}-"))
    try:
        services.attach()
        _keep_private(private)
        _serve(services, private, host=host, port=port, share=share, max_upload_mb=max_upload_mb)
    finally:
        services.close()
        os.close(claim)
        shutil.rmtree(private, ignore_errors=True)


def _serve(
    services: Services,
    private: Path,
    *,
    host: str,
    port: int,
    share: bool,
    max_upload_mb: int,
) -> None:
    access = Access(
        audit=AuditLog(services.workspace.root / AUDIT_LOG),
        uploads=UploadRules(private, max_upload_mb * 1_000_000, services.datasets.check_upload),
        port=port,
        # Who is at this machine needs no login; as soon as others can reach the page, all do.
        keys=KeyRing() if share or not _is_loopback(host) else None,
    )
    page = build_page(services, access)
    # Every handler goes through the queue: the direct way in would pass its limits by.
    page.queue(api_open=False)
    stop = _until_told_to_stop()
    allow_many_files()
    try:
        _, url, public_url = page.launch(
            app_kwargs={
                "middleware": [Middleware(Door, access=access, page=page)],
                "lifespan": without_foreign_origins,
                # Nobody needs a description of how to call the page by program.
                "openapi_url": None,
            },
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
            blocked_paths=[str(services.workspace.root)],
            theme=theme.make_theme(),
            css=theme.stylesheet(),
            head=theme.head(),
        )
    except OSError as error:
        raise SessionError(
            f"Port {port} cannot be used.", hint="Choose another one with --port, for example 7861."
        ) from error
    be_impatient(page.server)
    access.url = public_url or url
    if public_url:
        access.own_hosts.add(urlsplit(public_url).netloc.lower())
    _say_where(url, public_url, share=share)
    if access.keys:
        people_panel.print_keys(access)
    while not stop.wait(UPLOADS_CHECKED_EVERY):
        sweep(private, seconds=UPLOADS_KEPT)
    access.audit.flush()
    print("Stopping the page; a training that is going on goes on.", flush=True)
    page.close(verbose=False)


def _keep_private(private: Path) -> None:
    """Makes both folders that Gradio serves from, its own and the working one, our own."""
    empty = private / "empty"
    empty.mkdir()
    os.environ["GRADIO_TEMP_DIR"] = str(private / "files")
    # Parts of an upload lie here until it is whole. Not in the environment: workers outlive us.
    (private / "parts").mkdir()
    tempfile.tempdir = str(private / "parts")
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

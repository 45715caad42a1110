"""The page: header, six tabs, footer, and the timers that only the open tab runs.

Each tab lays itself out and asks the services by itself; this puts them in order.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from medqlora.services import Services
from ui import (
    compare_tab,
    configure_tab,
    dataset_tab,
    evaluate_tab,
    markup,
    monitor_tab,
    people_panel,
    train_tab,
    wording,
)
from ui.door.visitors import Access
from ui.patience import be_patient
from ui.shared import LIGHT, Shared, tab_name

TICK_SECONDS = 1.0
UPLOADS_CHECKED_EVERY, UPLOADS_KEPT = 600, 3600  # seconds


def build_page(services: Services, access: Access | None = None) -> gr.Blocks:
    """The whole page over `services`.

    Args:
        services: The backend.
        access: Who may come in; None where nobody is served.
    """
    page = gr.Blocks(
        title=wording.TITLE,
        analytics_enabled=False,
        delete_cache=(UPLOADS_CHECKED_EVERY, UPLOADS_KEPT),
        fill_width=False,
    )
    with page:
        gr.HTML(_header(), elem_id="header")
        timers = {
            label: gr.Timer(TICK_SECONDS, active=False)
            for label in ("Train", "Monitor", "Evaluate")
        }
        # Before the tabs: within, each would count as one of them.
        states = {
            "dataset_id": gr.State(""),
            "settings": gr.State({}),
            "run_id": gr.State(""),
        }
        with gr.Tabs(elem_id="tabs", selected=tab_name("Dataset")) as tabs:
            shared = Shared(services=services, tabs=tabs, **states)
            dataset_tab.build(shared, page)
            configure_tab.build(shared, page)
            train_tab.build(shared, page, timers["Train"])
            monitor_tab.build(shared, timers["Monitor"])
            evaluate_tab.build(shared, timers["Evaluate"])
            compare_tab.build(shared)
        if access is not None:
            people_panel.build(services, access, page)
        gr.HTML(_footer(), elem_id="footer")
        tabs.select(_only_open_tab_ticks(list(timers)), None, list(timers.values()), **LIGHT)
    be_patient(page, services.folders)
    return page


def _only_open_tab_ticks(labels: list[str]) -> Any:
    """While a tab is open its timer ticks, whether or not a job is going on.

    A handler that stopped the timer could be overtaken by one that starts a job, and the tab would
    stay as it was for ever.
    """

    def switch(opened: gr.SelectData) -> list[Any]:
        return [gr.Timer(active=one == opened.value) for one in labels]

    return switch


def _header() -> str:
    return (
        f'<header class="mq-header"><h1>{markup.safe(wording.TITLE)}</h1>'
        f"<p>{markup.safe(wording.TAGLINE)}</p></header>"
    )


def _footer() -> str:
    return f'<footer class="mq-footer">{markup.safe(wording.NOT_A_DEVICE)}</footer>'

"""The owner's panel below the tabs: who is there, the reviewers' link, and deleting everything.

Keys and sessions are the door's, deleting is the services'. No secret is in the page as it is
served: a link is shown when its button is pressed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from medqlora.errors import AccessError
from medqlora.services import Services
from medqlora.services.erasing import CONFIRMATION, erase_everything
from ui import markup, wording
from ui.door.roles import Role
from ui.door.uploads import sweep
from ui.door.visitors import Access
from ui.guard import guarded
from ui.shared import BUSY, LIGHT

HOURS: Final = {"8 hours": 8.0, "24 hours": 24.0, "7 days": 168.0}
AUDIT_LINES: Final = 12


def build(services: Services, access: Access, page: gr.Blocks) -> None:
    """Lays the panel out and wires it.

    Args:
        services: The backend.
        access: Keys and sessions.
        page: The page; what it remembers of its viewers goes with everything else.
    """
    handlers = Handlers(services, access, page)
    with (
        gr.Accordion(wording.OWNER_PANEL, open=False, elem_id="owner-panel"),
        gr.Row(equal_height=False),
    ):
        with gr.Column(min_width=320):
            gr.HTML(markup.heading("Who is here"))
            people = gr.HTML(markup.note(wording.PEOPLE_HELP), elem_id="owner-people")
            look = gr.Button("Show who is here", elem_id="owner-look", size="md")
        with gr.Column(min_width=320, visible=access.keys is not None):
            gr.HTML(markup.heading("Reviewers"))
            gr.HTML(markup.note(wording.REVIEWERS_HELP))
            link = gr.Textbox(
                label="The reviewers' link",
                interactive=False,
                buttons=["copy"],
                elem_id="owner-link",
            )
            hours = gr.Radio(
                list(HOURS),
                value="24 hours",
                label="A new link opens for",
                elem_id="owner-hours",
            )
            with gr.Row():
                show = gr.Button("Show the link", elem_id="owner-show", min_width=120)
                renew = gr.Button("Make a new one", elem_id="owner-renew", min_width=120)
                end = gr.Button("End their access", elem_id="owner-end", min_width=120)
            own = gr.Button("Make a new owner's link", elem_id="owner-renew-own", size="md")
        with gr.Column(min_width=320):
            gr.HTML(markup.heading("Delete everything"))
            gr.HTML(markup.note(wording.ERASE_HELP))
            typed = gr.Textbox(
                label=wording.ERASE_CONFIRM.format(words=CONFIRMATION),
                max_length=40,
                elem_id="owner-erase-words",
            )
            erase = gr.Button("Delete everything", variant="stop", elem_id="owner-erase")
            erased = gr.HTML(elem_id="owner-erased")
    look.click(guarded(handlers.look), None, people, **LIGHT)
    show.click(guarded(handlers.show), None, [link, people], **LIGHT)
    renew.click(guarded(handlers.renew), hours, [link, people], **LIGHT)
    end.click(guarded(handlers.end), None, [link, people], **LIGHT)
    own.click(guarded(handlers.renew_own), None, people, **LIGHT)
    erase.click(guarded(handlers.erase), typed, [typed, erased], **BUSY)


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the panel's controls do.

    Attributes:
        services: The backend.
        access: Keys and sessions.
        page: The page.
    """

    services: Services
    access: Access
    page: gr.Blocks

    def look(self) -> str:
        """Who has come in, and what was done lately."""
        keys = self.access.keys
        if keys is None:
            told = markup.note(wording.NO_LOGIN_HERE)
        else:
            rows = [
                (
                    f"{one.role} {one.number}",
                    _ago(one.since),
                    "has the page open" if self._is_connected(one.role, one.number) else "away",
                    _left(one.expires_at),
                )
                for one in keys.sessions()
            ]
            headers = ("Who", "Came", "Now", "Ends")
            told = markup.table(headers, rows, caption="Everybody who has come in")
        done = [(one["at"], one["who"], one["did"]) for one in self._audit()]
        return told + markup.table(("When (UTC)", "Who", "What"), done, caption="What was done")

    def show(self) -> list[Any]:
        """The reviewers' link."""
        keys = self._keys()
        key = keys.key(Role.REVIEWER)
        if key is None:
            raise AccessError("Reviewers have no access now.", hint="Make a new link for them.")
        return [self.access.link(key), self.look()]

    def renew(self, hours: str) -> list[Any]:
        """A new link for reviewers; the old one and who came in with it end."""
        if hours not in HOURS:
            raise AccessError("A link cannot be made for that long.", hint="Choose from the list.")
        key = self._keys().renew(Role.REVIEWER, HOURS[hours] * 3600)
        return [self.access.link(key), self.look()]

    def end(self) -> list[Any]:
        """Reviewers have no access any more."""
        self._keys().revoke(Role.REVIEWER)
        return ["", self.look()]

    def renew_own(self) -> str:
        """A new owner's link, printed where the page was started; all owners come in anew."""
        self._keys().renew(Role.OWNER, None)
        print_keys(self.access)
        return markup.notice(wording.NEW_OWNER_KEY, "warn")

    def erase(self, typed: str) -> list[Any]:
        """Removes all data, and says what remains and where."""
        told = erase_everything(self.services, typed)
        # The conversations of all who have Compare open.
        self.page.state_holder.session_data.clear()
        # Uploads and what was made to be downloaded.
        sweep(self.access.uploads.folder, seconds=-1)
        self.access.audit.record("owner", "deleted everything")
        return [
            "",
            markup.notice(told.message, "good") + markup.steps(wording.REMAINS, told.remains),
        ]

    def _keys(self) -> Any:
        if self.access.keys is None:
            raise AccessError(wording.NO_LOGIN_HERE, hint=wording.HOW_TO_SHARE)
        return self.access.keys

    def _is_connected(self, role: Role, number: int) -> bool:
        return self.access.is_connected(f"{role} {number}")

    def _audit(self) -> list[dict[str, str]]:
        return list(self.access.audit.newest(AUDIT_LINES))


def print_keys(access: Access) -> None:
    """Prints the links and passwords where the page was started; nothing else ever does."""
    for role in Role:
        key = access.keys.key(role) if access.keys else None
        if key:
            print(f"{wording.ROLE_LINKS[role]}: {access.link(key)}", flush=True)
            print(f"Login: user {role}, password {key.password}", flush=True)


def _ago(moment: float) -> str:
    return f"{max(0, round((time.time() - moment) / 60))} min ago"


def _left(moment: float) -> str:
    return f"in {max(0.0, (moment - time.time()) / 3600):.1f} h"

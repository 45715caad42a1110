"""The pages: a Gradio interface over `medqlora.services`.

It shows and asks; every decision is the services' business.

    launch        serve: open the services, build the page, run the web server until told to stop
    layout        the six tabs, the header and the footer, and what they share
    *_tab         one tab each: its layout and its handlers
    controls      a setting becomes the right input
    plots         a run's snapshot becomes Plotly figures
    present       values of the domain become words and rows
    markup        words become HTML, escaped
    wording       every longer text
    access        the door: the middleware through which every request goes; `door` has its checks
    people_panel  who is here, the reviewers' link, deleting everything
    guard         an exception in a handler becomes one plain sentence
    theme         colours, fonts, style sheet and script

Gradio reads its environment when it is first imported, so what it must not do is settled here.
"""

import os

# Neither telemetry nor a tool server: a page with clinical text talks to its own user only.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_MCP_SERVER"] = "False"

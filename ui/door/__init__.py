"""The door: who may reach the page, and what they may ask of it.

`ui.access` puts the checks in their order; here is what each of them means.

    roles     owner and reviewer, and which handlers a reviewer may call
    keys      links, passwords and sessions; made new at every start, kept in memory alone
    entry     signing in and out
    limits    lock-out, rates, and how much one visitor may have going on at once
    requests  where a request comes from, what it asks for, and whether it may
    calls     a handler's call: its role, its browser tab, how much waits already
    values    the values of a call: their kinds and bounds
    uploads   an upload: its size, how many, and the room on the disk
    bodies    bodies of requests, bounded in size and time
    replies   answers: ours, and Gradio's with our headers
    headers   what every answer tells the browser
    pages     the login page, and the page as a reviewer gets it
    visitors  what the door goes by, and who stands before it
    audit     who did what and when, without content
    quiet     keeps what people typed out of the log
"""

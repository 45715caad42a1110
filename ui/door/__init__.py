"""The door: who may reach the page, and what they may ask of it.

access    the middleware through which every request goes, in the order of its checks
roles     owner and reviewer, and which handlers a reviewer may call
keys      links, passwords and sessions; made new at every start, kept in memory alone
limits    lock-out, rates, and how much one visitor may have going on at once
requests  where a request comes from, what it asks for, and whether it may
calls     a handler's call: its role, its session, its size and shape
uploads   an upload: its size, how many, and the room on the disk
pages     the login page, and the page as a reviewer gets it
headers   what every answer tells the browser
audit     who did what and when, without content
"""

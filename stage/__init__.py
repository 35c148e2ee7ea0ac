"""The show: command line, configuration, the processes, models, stage page, bench.

Three processes: the *house* (parent: supervisor, web server, router of messages; does nothing
heavy, so it does not die), the *body* (render thread, sink threads) and the *mind* (asyncio loop,
engine threads). Messages between them are `stage.wire`. Budget: a message is routed within 1 ms;
a killed body is back on air within 2 s, a killed mind answers again within its model's load time.
"""

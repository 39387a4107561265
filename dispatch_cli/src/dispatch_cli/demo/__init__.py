"""`dispatch demo`: a real server, real engines, real transcodes, and one engine killed in the middle of its work.

Nothing in it is played: the server and the engines are the processes that users run, and every output is decoded.
"""

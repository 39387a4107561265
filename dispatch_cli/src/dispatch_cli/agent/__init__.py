"""The engine agent: a process that offers this machine to a server, claims jobs, runs them, and reports.

What it promises: a lost reply strands no job, a lost lease overwrites nothing, a server that is away for a while stops
no work, and ffmpeg does not outlive the agent.
"""

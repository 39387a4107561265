"""The shell: the only room that opens transactions and owns threads. It asks the kernel and writes what it says."""

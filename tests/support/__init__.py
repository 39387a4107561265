"""What tests of several areas, and the benchmarks, start: real servers that end with them."""

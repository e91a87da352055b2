"""The harness of the tests that drive a machine from outside; see tests/README.md."""

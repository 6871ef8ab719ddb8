# Types of layers_baseline.pyx, for type checkers and editors. Checked by stubtest, in ci/test.

table: object  # a capsule that holds the loops

# Types of layers_avx2.pyx, for type checkers and editors. Checked by stubtest, in ci/test.

table: object  # a capsule that holds the loops

# The loops of sums of derivatives: one unit of a sweep over fields, for both types. Included by fused_baseline.pyx,
# fused_avx2.pyx and fused_avx512.pyx, which differ by their flags alone.
# Here because the hot arithmetic is built for several instruction sets, with equal bits: no fused multiply-add, every
# number summed up in the order of reference/fused.py. Tested in tests/test_fused.py.
#
# What limits them: memory, as long as the rows that a row takes from stay in cache. A row is a run of nodes that take
# from the same distances with the same weights, and a few edge nodes, each of which is a run of its own; all that a run
# takes is listed once, and then added up four lists at a time, in pieces that stay in the first cache.

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport fabs, fabsf, sqrt, sqrtf
from libc.string cimport memcpy

from steepest.kernels.fused cimport AXES, Field, Loops, Output, Plan, Rows, Rule, Scratch, Taken, Term, sweep_t

cdef enum:
    PIECE = 128         # numbers that are summed up at a time: as many as are asked for at a time
    RUN = 1024          # the same where nothing is asked for ahead
    SHORT = 2           # numbers that are not worth a loop
    FETCH = 1024        # how many numbers before they are needed they are asked for
    LINE = 64           # bytes that come from memory at a time

include "_lines.pxi"

cdef extern from *:
    """
    /* Have the line of an address brought near before it is needed; any address may be asked for. */
    static inline void steepest_fetch(const void *address)
    {
    #if defined(__GNUC__) || defined(__clang__)
        __builtin_prefetch(address, 0, 3);
    #else
        (void)address;
    #endif
    }
    """
    void steepest_fetch(const void *address) noexcept nogil

ctypedef fused floating:
    float
    double


cdef inline floating root_of(floating x) noexcept nogil:
    if floating is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline floating size_of(floating x) noexcept nogil:
    if floating is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline void add_some(floating *out, const floating **at, const floating *origin, const floating *w,
                          Py_ssize_t start, Py_ssize_t count, int many, bint begun, bint differing) noexcept nogil:
    """out (or 0) + w[0] * (at[0] - origin) + ... of up to eight lists; the last three are known where it is called."""
    cdef const floating *a = at[0] + start
    cdef const floating *b = at[1 if many > 1 else 0] + start
    cdef const floating *c = at[2 if many > 2 else 0] + start
    cdef const floating *d = at[3 if many > 3 else 0] + start
    cdef const floating *e = at[4 if many > 4 else 0] + start
    cdef const floating *f = at[5 if many > 5 else 0] + start
    cdef const floating *g = at[6 if many > 6 else 0] + start
    cdef const floating *h = at[7 if many > 7 else 0] + start
    cdef const floating *o = origin + start if differing else a
    cdef floating wa = w[0]
    cdef floating wb = w[1 if many > 1 else 0]
    cdef floating wc = w[2 if many > 2 else 0]
    cdef floating wd = w[3 if many > 3 else 0]
    cdef floating we = w[4 if many > 4 else 0]
    cdef floating wf = w[5 if many > 5 else 0]
    cdef floating wg = w[6 if many > 6 else 0]
    cdef floating wh = w[7 if many > 7 else 0]
    cdef floating total
    cdef Py_ssize_t i
    for i in range(count):
        total = out[i] if begun else 0
        total = total + wa * (a[i] - o[i] if differing else a[i])
        if many > 1:
            total = total + wb * (b[i] - o[i] if differing else b[i])
        if many > 2:
            total = total + wc * (c[i] - o[i] if differing else c[i])
        if many > 3:
            total = total + wd * (d[i] - o[i] if differing else d[i])
        if many > 4:
            total = total + we * (e[i] - o[i] if differing else e[i])
        if many > 5:
            total = total + wf * (f[i] - o[i] if differing else f[i])
        if many > 6:
            total = total + wg * (g[i] - o[i] if differing else g[i])
        if many > 7:
            total = total + wh * (h[i] - o[i] if differing else h[i])
        out[i] = total


cdef inline int add_many(floating *out, const floating **at, const floating *origin, const floating *w,
                         Py_ssize_t start, Py_ssize_t count, Py_ssize_t many, bint begun,
                         bint differing) noexcept nogil:
    """A loop for some of the lists; returns of how many."""
    if many >= 8:
        add_some(out, at, origin, w, start, count, 8, begun, differing)
        return 8
    if many >= 6:
        add_some(out, at, origin, w, start, count, 6, begun, differing)
        return 6
    if many >= 4:
        add_some(out, at, origin, w, start, count, 4, begun, differing)
        return 4
    if many == 3:
        add_some(out, at, origin, w, start, count, 3, begun, differing)
        return 3
    if many == 2:
        add_some(out, at, origin, w, start, count, 2, begun, differing)
        return 2
    add_some(out, at, origin, w, start, count, 1, begun, differing)
    return 1


cdef void add_along(floating *out, const floating *a, const floating *o, floating w, const floating *v,
                    Py_ssize_t count) noexcept nogil:
    """out + w * v * (a - o), where the weights change along the run."""
    cdef Py_ssize_t i
    if o == NULL:
        for i in range(count):
            out[i] = out[i] + w * v[i] * a[i]
    else:
        for i in range(count):
            out[i] = out[i] + w * v[i] * (a[i] - o[i])


cdef inline floating add_one(const floating **at, const floating **origins, const floating **along, const floating *w,
                             Py_ssize_t taken, Py_ssize_t start, Py_ssize_t within) noexcept nogil:
    """One number."""
    cdef floating total = 0, value, weight
    cdef Py_ssize_t k
    for k in range(taken):
        value = at[k][start]
        if origins[k] != NULL:
            value = value - origins[k][start]
        weight = w[k]
        if along[k] != NULL:
            weight = weight * along[k][within]
        total = total + weight * value
    return total


cdef void add_up(floating *out, const Scratch *scratch, Py_ssize_t taken, Py_ssize_t start, Py_ssize_t within,
                 Py_ssize_t count) noexcept nogil:
    """Write what is taken, times its weights, from `start` on, `within` its run, to `out`."""
    cdef const floating **at = <const floating **>scratch.at
    cdef const floating **origins = <const floating **>scratch.origins
    cdef const floating **along = <const floating **>scratch.along
    cdef const floating *w = <const floating *>scratch.weights
    cdef Py_ssize_t k = 0, i
    cdef int many
    if count <= SHORT:
        for i in range(count):
            out[i] = add_one(at, origins, along, w, taken, start + i, within + i)
        return
    while k < taken:
        many = 0
        while many < 8 and k + many < taken and along[k + many] == NULL and origins[k + many] == origins[k]:
            many += 1
        if many == 0:
            if k == 0:
                for i in range(count):
                    out[i] = 0
            many = 1
            add_along(out, at[k] + start, origins[k] + start if origins[k] != NULL else NULL, w[k],
                      along[k] + within, count)
        elif origins[k] == NULL:
            if k:
                many = add_many(out, &at[k], NULL, &w[k], start, count, many, True, False)
            else:
                many = add_many(out, &at[k], NULL, &w[k], start, count, many, False, False)
        elif k:
            many = add_many(out, &at[k], origins[k], &w[k], start, count, many, True, True)
        else:
            many = add_many(out, &at[k], origins[k], &w[k], start, count, many, False, True)
        k += many
    if taken == 0:
        for i in range(count):
            out[i] = 0


cdef Taken expand(const Rule *rule, Py_ssize_t node, Py_ssize_t stride, const floating **at, floating *w,
                  Taken taken) noexcept nogil:
    """Have all that is taken be taken, along one more axis, from each node that `node` takes; from the last on."""
    cdef const Py_ssize_t *columns = rule.offsets
    cdef const floating *weights = <const floating *>rule.weights
    cdef Py_ssize_t taps = rule.taps, step = rule.step, skip = 1, e, t, edge, origin = rule.origin
    cdef const floating *base
    cdef floating weight
    if rule.first <= node < rule.last:
        taken.total = 0
        if step:
            weights, skip = weights + node * step, rule.extent * step
    else:
        edge = node if node < rule.first else node - rule.last + rule.first
        columns, taps = rule.columns + rule.starts[edge], rule.starts[edge + 1] - rule.starts[edge]
        weights, node = <const floating *>rule.edge_weights + rule.starts[edge], 0
        origin = rule.edge_origins[edge]
        taken.total = <floating>taken.total * (<const floating *>rule.totals)[edge]
    for e in range(taken.count - 1, -1, -1):
        base, weight = at[e], w[e]
        for t in range(taps - 1, -1, -1):
            at[e * taps + t] = base + (node + columns[t]) * stride
            w[e * taps + t] = weight * weights[t * skip]
    taken.count = taken.count * taps
    taken.origin = taken.origin * taps + origin if taken.origin >= 0 and origin >= 0 else -1
    return taken


cdef Taken take_outer(const Plan *plan, const Term *term, const Field *source, const Py_ssize_t *index,
                      const floating **at, floating *w) noexcept nogil:
    """List what a row takes, as if there were nothing to do along it."""
    cdef Taken taken
    cdef int axis
    cdef const floating *base = <const floating *>source.data
    for axis in range(plan.ndim - 1):
        if term.rules[axis] == NULL:
            base += index[axis] * source.strides[axis]
    at[0], w[0] = base, <floating>term.sign
    taken.count, taken.origin, taken.total = 1, 0 if term.rule_count else -1, term.sign
    for axis in range(plan.ndim - 1):
        if term.rules[axis] != NULL:
            taken = expand(term.rules[axis], index[axis], source.strides[axis], at, w, taken)
    return taken


cdef Py_ssize_t take(const Plan *plan, const Term *term, Py_ssize_t node, const floating **outer,
                     const floating *outer_weights, Taken taken, const Scratch *scratch,
                     Py_ssize_t begin) noexcept nogil:
    """List what a run from `node` on takes, out of what its row takes; returns where the list ends."""
    cdef const floating **at = <const floating **>scratch.at + begin
    cdef const floating **origins = <const floating **>scratch.origins + begin
    cdef const floating **along = <const floating **>scratch.along + begin
    cdef floating *w = <floating *>scratch.weights + begin
    cdef const Rule *rule = term.rules[plan.ndim - 1]
    cdef Py_ssize_t width = plan.width, k, t, taps
    cdef const floating *origin = NULL
    cdef bint changing = rule != NULL and rule.along != NULL and rule.first <= node < rule.last
    if changing:
        taps = rule.taps
        for k in range(taken.count):
            for t in range(taps):
                at[k * taps + t] = outer[k] + (node + rule.offsets[t]) * width
                w[k * taps + t] = outer_weights[k]
                along[k * taps + t] = <const floating *>rule.along + (t * rule.extent + node) * width
        taken.count, taken.total = taken.count * taps, 0
        taken.origin = taken.origin * taps + rule.origin if taken.origin >= 0 and rule.origin >= 0 else -1
    else:
        for k in range(taken.count):
            at[k], w[k] = outer[k] if rule != NULL else outer[k] + node * width, outer_weights[k]
        if rule != NULL:
            taken = expand(rule, node, width, at, w, taken)
        for k in range(taken.count):
            along[k] = NULL
    if taken.origin >= 0:
        origin = at[taken.origin]
        taken.count -= 1
        for k in range(taken.origin, taken.count):
            at[k], w[k], along[k] = at[k + 1], w[k + 1], along[k + 1]
    for k in range(taken.count):
        origins[k] = origin
    if taken.origin >= 0 and taken.total != 0:
        k = taken.count
        at[k], w[k], along[k], origins[k] = origin, <floating>taken.total, NULL, NULL
        taken.count += 1
    return begin + taken.count


cdef inline void put_past(char *out, const char *piece, Py_ssize_t count) noexcept nogil:
    """Write some bytes, the whole lines of them past the caches."""
    cdef Py_ssize_t at = min(count, steepest_to_line(out))
    memcpy(out, piece, at)
    while at + LINE <= count:
        steepest_stream(out + at, piece + at)
        at += LINE
    memcpy(out + at, piece + at, count - at)


cdef void run_sum(const Plan *plan, const Output *output, const Scratch *scratch, floating *out, Py_ssize_t node,
                  Py_ssize_t count, Rows rows) noexcept nogil:
    """A run of `count` numbers from `node` on, in every row: the sum of the terms."""
    cdef floating piece[PIECE]
    cdef const floating **outer = <const floating **>scratch.outer
    cdef const floating *outer_weights = <const floating *>scratch.outer_weights
    cdef const floating *farthest = NULL
    cdef const floating *at
    cdef Py_ssize_t taken = 0, start = 0, passed = 0, row, many, i, ahead = LINE // sizeof(floating)
    cdef int k
    for k in range(output.first_term, output.last_term):
        taken = take(plan, &plan.terms[k], node, outer + passed, outer_weights + passed, scratch.terms[k], scratch,
                     taken)
        passed += scratch.terms[k].count
    for i in range(taken):
        at = (<const floating **>scratch.at)[i]
        farthest = at if at > farthest else farthest
    for row in range(rows.count):
        start, passed = 0, row * rows.in_stride
        if not plan.passing or count <= SHORT:
            while start < count:
                add_up(out + start, scratch, taken, passed + start, start, min(count - start, <Py_ssize_t>RUN))
                start += RUN
        else:       # from the second piece on, whole lines
            many = min(count, PIECE - ahead + steepest_to_line(out) // <Py_ssize_t>sizeof(floating))
            while start < count:
                i = 0
                while i < many and taken:
                    steepest_fetch(farthest + passed + start + FETCH + i)
                    i += ahead
                add_up(piece, scratch, taken, passed + start, start, many)
                put_past(<char *>(out + start), <const char *>piece, many * sizeof(floating))
                start += many
                many = min(count - start, <Py_ssize_t>PIECE)
        out += rows.out_stride


cdef floating scale_of(const Plan *plan, floating most) noexcept nogil:
    """What numbers, the largest of which is given, are multiplied by so that they can be squared."""
    if most > <floating>plan.scales[1]:
        return <floating>plan.scales[3]
    if most < <floating>plan.scales[0] and most > 0:
        return <floating>plan.scales[2]
    return 1


cdef void run_root(const Plan *plan, const Output *output, const Scratch *scratch, floating *out, Py_ssize_t node,
                   Py_ssize_t count, Py_ssize_t skipped) noexcept nogil:
    """A run of `count` numbers from `node` on, skipping some: the root of the sum of the squares of the terms."""
    cdef floating part[PIECE]
    cdef floating total[PIECE]
    cdef floating most[PIECE]
    cdef floating x
    cdef Py_ssize_t start = 0, i, many
    cdef bint hard
    while start < count:
        many = min(count - start, <Py_ssize_t>PIECE)
        for i in range(many):
            total[i], most[i] = 0, 0
        add_squares(plan, output, scratch, total, most, part, False, node, start,
                    skipped, many)
        if plan.paired:
            for i in range(many // 2):
                x = most[2 * i] if most[2 * i] > most[2 * i + 1] else most[2 * i + 1]
                most[2 * i], most[2 * i + 1] = x, x
        hard = False
        for i in range(many):
            hard |= scale_of[floating](plan, most[i]) != 1
        if hard:
            for i in range(many):
                total[i], most[i] = 0, scale_of[floating](plan, most[i])
            add_squares(plan, output, scratch, total, most, part, True, node, start,
                        skipped, many)
        else:
            for i in range(many):
                most[i] = 1
        if plan.paired:
            for i in range(many // 2):
                out[start // 2 + i] = root_of[floating](total[2 * i] + total[2 * i + 1]) * (1 / most[2 * i])
        else:
            for i in range(many):
                out[start + i] = root_of[floating](total[i]) * (1 / most[i])
        start += PIECE


cdef void add_squares(const Plan *plan, const Output *output, const Scratch *scratch, floating *total, floating *most,
                      floating *part, bint scaled, Py_ssize_t node, Py_ssize_t start, Py_ssize_t skipped,
                      Py_ssize_t many) noexcept nogil:
    """Add up the squares of the terms, and find the largest; or, with `scaled`, times the scales that are in `most`."""
    cdef const floating **outer = <const floating **>scratch.outer
    cdef const floating *outer_weights = <const floating *>scratch.outer_weights
    cdef Py_ssize_t taken, i, passed = 0
    cdef floating x
    cdef int k
    for k in range(output.first_term, output.last_term):
        taken = take(plan, &plan.terms[k], node, outer + passed, outer_weights + passed, scratch.terms[k], scratch, 0)
        passed += scratch.terms[k].count
        add_up(part, scratch, taken, start + skipped, start, many)
        if scaled:
            for i in range(many):
                x = part[i] * most[i]
                total[i] = total[i] + x * x
        else:
            for i in range(many):
                x = size_of[floating](part[i])
                total[i] = total[i] + x * x
                most[i] = x if x > most[i] else most[i]


cdef inline void do_run(const Plan *plan, const Output *output, const Scratch *scratch, floating *out, Py_ssize_t node,
                        Py_ssize_t end, Rows rows) noexcept nogil:
    cdef Py_ssize_t width = plan.width // 2 if plan.paired else plan.width, row
    if not plan.root:
        run_sum(plan, output, scratch, out + node * width, node, (end - node) * plan.width, rows)
        return
    for row in range(rows.count):
        run_root(plan, output, scratch, out + node * width + row * rows.out_stride, node, (end - node) * plan.width,
                 row * rows.in_stride)


cdef void do_rows(const Plan *plan, const Field *sources, const Field *outs, const Scratch *scratch,
                  const Py_ssize_t *index, Py_ssize_t first, Py_ssize_t last, Rows rows, floating *_) noexcept nogil:
    """Nodes first..last, of every result, of rows that take alike."""
    cdef const floating **outer = <const floating **>scratch.outer
    cdef floating *outer_weights = <floating *>scratch.outer_weights
    cdef const Output *output
    cdef const Term *term
    cdef floating *out
    cdef Py_ssize_t node, end, passed
    cdef int o, k, axis
    for o in range(plan.output_count):
        output = &plan.outputs[o]
        out = <floating *>outs[o].data
        for axis in range(plan.ndim - 1):
            out += index[axis] * outs[o].strides[axis]
        passed = 0
        for k in range(output.first_term, output.last_term):
            term = &plan.terms[k]
            scratch.terms[k] = take_outer(plan, term, &sources[term.source], index, outer + passed,
                                          outer_weights + passed)
            passed += scratch.terms[k].count
        if plan.ndim > 1:
            rows.in_stride = sources[0].strides[plan.ndim - 2]
            rows.out_stride = outs[o].strides[plan.ndim - 2]
        node = first
        while node < last:
            if output.first <= node < output.last:
                end = min(last, output.last)
            else:
                end = node + 1
            do_run(plan, output, scratch, out, node, end, rows)
            node = end


cdef inline Py_ssize_t alike(const Plan *plan, Py_ssize_t row, Py_ssize_t most) noexcept nogil:
    """How many rows from a row on, along the last of the outer axes, take from the same distances."""
    if plan.first_alike <= row < plan.last_alike:
        return max(1, min(most, plan.last_alike - row, plan.together))
    return 1


cdef void sweep(const Plan *plan, const Field *sources, const Field *outs, const Scratch *scratch,
                Py_ssize_t unit, floating *_) noexcept nogil:
    """A unit: some nodes of some rows, over some planes; the planes are the innermost loop but the rows."""
    cdef Py_ssize_t index[AXES]
    cdef Rows rows
    cdef Py_ssize_t plane_block = unit % plan.plane_blocks, rest = unit // plan.plane_blocks
    cdef Py_ssize_t row_block = rest % plan.row_blocks, node_block = rest // plan.row_blocks
    cdef Py_ssize_t nodes = plan.shape[plan.ndim - 1]
    cdef Py_ssize_t first = node_block * plan.nodes, last = min(nodes, first + plan.nodes)
    cdef Py_ssize_t plane = plane_block * plan.planes
    cdef Py_ssize_t last_plane = min(plan.shape[0] if plan.ndim > 1 else 1, plane + plan.planes)
    cdef Py_ssize_t row, last_row = min(plan.row_count, (row_block + 1) * plan.rows), left
    cdef int axis
    rows.in_stride = rows.out_stride = 0
    rows.count = 1
    while plane < last_plane:
        row = row_block * plan.rows
        while row < last_row:
            index[0], left = plane, row
            for axis in range(plan.ndim - 2, 0, -1):
                index[axis], left = left % plan.shape[axis], left // plan.shape[axis]
            if plan.ndim == 2:
                rows.count = alike(plan, plane, last_plane - plane)
            elif plan.ndim > 2:
                rows.count = alike(plan, index[plan.ndim - 2], last_row - row)
            do_rows(plan, sources, outs, scratch, index, first, last, rows, _)
            row += rows.count
        plane += rows.count if plan.ndim == 2 else 1
    if plan.passing:
        steepest_fence()


cdef void sweep_floats(const Plan *plan, const Field *sources, const Field *outs, const Scratch *scratch,
                       Py_ssize_t unit) noexcept nogil:
    sweep[float](plan, sources, outs, scratch, unit, NULL)


cdef void sweep_doubles(const Plan *plan, const Field *sources, const Field *outs, const Scratch *scratch,
                        Py_ssize_t unit) noexcept nogil:
    sweep[double](plan, sources, outs, scratch, unit, NULL)


cdef Loops loops

loops.sweep[0], loops.sweep[1] = sweep_floats, sweep_doubles

table = PyCapsule_New(&loops, "steepest fused loops", NULL)

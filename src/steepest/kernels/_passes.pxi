# Passes: rows there and back through the layers, in parts, in chunks, in batches. A part of layers.pyx.
# Here so that the file keeps to one subject at a time; the arithmetic is that of reference/layers.py.
# Tested in tests/test_layers.py.

cdef double total_of(Layers self) noexcept nogil:
    """The sum of the weights of the rows, in order."""
    cdef double total = 0.0
    cdef Py_ssize_t i
    if self.rows.weight == NULL:
        return <double>self.rows.count
    for i in range(self.rows.count):
        total += (<const double *>(self.rows.weight + place_of(&self.rows, i) * self.rows.weight_row))[0]
    return total


cdef double run_rows(Layers self, const char *parameters) except? -1 nogil:
    cdef Rows *rows = &self.rows
    cdef Py_ssize_t i, step
    cdef double loss = 0.0
    rows.part = part_of(rows.count, self.operations)
    rows.parts = (rows.count + rows.part - 1) // rows.part
    prepare(self, parameters)
    if self.threads > 1 and rows.parts > 1:
        with gil:
            self.share(self.work, 0, rows.parts, np.zeros(min(self.threads, rows.parts), np.intc))
    else:
        run_parts(self, 0, rows.parts, self.works)
    step = 1
    while step < rows.parts:
        i = 0
        while i + step < rows.parts:
            self.losses[i] = self.losses[i] + self.losses[i + step]
            if rows.by_weights:
                loops.add[self.kind](self.gradients + i * self.count * self.size,
                                     self.gradients + (i + step) * self.count * self.size, self.count)
            i += 2 * step
        step *= 2
    if rows.y != NULL and rows.total > 0:
        loss = self.losses[0] / rows.total
    return loss + penalize(self, parameters)


cdef double penalize(Layers self, const char *parameters) noexcept nogil:
    """What the weights add to the loss and to its gradient."""
    cdef double penalty = 0.0
    cdef Py_ssize_t i, at
    if self.l2 == 0 and self.l1 == 0 or self.rows.y == NULL:
        return 0.0
    for i in range(self.depth):
        at = self.layers[i].weights * self.size
        penalty += loops.penalize[self.kind](
            parameters + at, self.gradients + at if self.rows.by_weights else NULL, self.l2, self.l1,
            self.layers[i].inputs * self.layers[i].outputs)
    return penalty


cdef void prepare(Layers self, const char *parameters) noexcept nogil:
    """Biases and weights in the form that the products need."""
    cdef Py_ssize_t i, k, size = self.size
    cdef Layer *layer
    cdef const char *weights
    for i in range(self.depth):
        layer = &self.layers[i]
        weights = parameters + layer.weights * size
        memcpy(layer.start, parameters + layer.biases * size, layer.outputs * size)
        layer.matrix, layer.matrix_row = weights, layer.outputs
        if not layer.lies:
            for k in range(layer.inputs):
                memcpy(layer.packed + k * layer.row * size, weights + k * layer.outputs * size,
                       layer.outputs * size)
            layer.matrix, layer.matrix_row = layer.packed, layer.row
        if self.rows.by_inputs or i > 0 and goes_back(&self.rows):
            loops.transpose[self.kind](weights, layer.inputs, layer.outputs, layer.turned, layer.before)


cdef int run_parts(Layers self, Py_ssize_t first, Py_ssize_t last, Work *work) except -1 nogil:
    cdef Py_ssize_t part, at, end, chunk
    cdef long long looked = steepest_milliseconds()
    for part in range(first, last):
        self.losses[part], self.wrong[part] = 0.0, -1
        at, end = part * self.rows.part, min((part + 1) * self.rows.part, self.rows.count)
        while at < end:
            chunk = min(CHUNK, end - at)
            run_chunk(self, part, at, chunk, work)
            at += chunk
            if steepest_milliseconds() - looked >= BETWEEN_CHECKS:
                looked = steepest_milliseconds()
                with gil:
                    PyErr_CheckSignals()
    return 0


cdef void run_chunk(Layers self, Py_ssize_t part, Py_ssize_t first, Py_ssize_t count, Work *work) noexcept nogil:
    """Some rows there and back."""
    cdef Rows *rows = &self.rows
    cdef Ends ends
    cdef Py_ssize_t i
    cdef double loss = self.losses[part]
    cdef Layer *last = &self.layers[self.depth - 1]
    if rows.x_column == self.size:
        for i in range(count):
            work.inputs[i] = rows.x + place_of(rows, first + i) * rows.x_row
    else:
        take_rows(rows.x, rows.x_row, rows.x_column, rows, first, count, self.layers[0].inputs, self.size, work.x,
                  self.layers[0].before)
        point_to(work.x, self.layers[0].before * self.size, work.inputs, count)
    go_forward(self, part, first, count, work)
    if rows.y == NULL:
        return
    take_answers(rows, first, count, last.outputs, last.row, self.size, work)
    ends.code, ends.delta, ends.outputs, ends.y = self.loss, self.delta, work.values[self.depth - 1], work.y
    ends.labels = work.labels if rows.labels else NULL
    ends.factors, ends.losses = work.factors, work.losses
    ends.slopes, ends.terms = work.deltas[0], work.deltas[1]
    ends.rows, ends.columns, ends.row = count, last.outputs, last.row
    loops.end[self.kind](&ends, NULL)
    for i in range(count):
        loss += work.weights[i] * work.losses[i]
    self.losses[part] = loss
    if goes_back(rows):
        go_back(self, part, first, count, work)


cdef void go_forward(Layers self, Py_ssize_t part, Py_ssize_t first, Py_ssize_t count, Work *work) noexcept nogil:
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(self.depth):
        layer = &self.layers[i]
        loops.multiply[self.kind](False, rows_before(work, i), layer.matrix, layer.matrix_row, work.values[i],
                                  layer.row, layer.start, 0, count, layer.inputs, layer.outputs, True)
        loops.activate[self.kind](layer.activation, work.values[i],
                                  work.slopes[i] if layer.keeps and goes_back(&self.rows) else NULL, self.slope,
                                  count * layer.row)
        if (self.rows.watched and not 0 <= self.wrong[part] <= i
                and not loops.finite[self.kind](work.values[i], count * layer.row)
                and not are_finite(self, work.values[i], layer, count)):
            self.wrong[part] = <int>i
        if self.rows.layers != NULL and self.rows.layers[i] != NULL:
            put_rows(work.values[i], layer.row, self.rows.layers[i], first, count, layer.outputs, self.size)


cdef bint are_finite(Layers self, const char *values, const Layer *layer, Py_ssize_t count) noexcept nogil:
    """The same without the padding, in which anything may stand."""
    cdef Py_ssize_t i
    for i in range(count):
        if not loops.finite[self.kind](values + i * layer.row * self.size, layer.outputs):
            return False
    return True


cdef void go_back(Layers self, Py_ssize_t part, Py_ssize_t first, Py_ssize_t count, Work *work) noexcept nogil:
    """Deltas from the last layer to the first, and what they add to the gradient of the part."""
    cdef char *gradient = self.gradients + part * self.count * self.size if self.rows.by_weights else NULL
    cdef char *d = work.deltas[0]
    cdef char *other = work.deltas[1]
    cdef bint fresh = first == part * self.rows.part
    cdef Py_ssize_t i
    cdef Layer *layer
    for i in range(self.depth - 1, -1, -1):
        layer = &self.layers[i]
        loops.slant[self.kind](layer.activation, d, work.values[i], work.slopes[i] if layer.keeps else NULL,
                               self.slope, count * layer.row)
        if self.rows.deltas != NULL:
            put_rows(d, layer.row, self.rows.deltas[i], first, count, layer.outputs, self.size)
        if gradient != NULL:
            add_products(self, layer, rows_before(work, i), d, gradient, fresh, count)
        if i > 0 or self.rows.by_inputs:
            point_to(d, layer.row * self.size, work.delta_rows, count)
            loops.multiply[self.kind](False, <const void *const *>work.delta_rows, layer.turned, layer.before,
                                      other, layer.before, self.zeros, 0, count, layer.outputs, layer.inputs, True)
            d, other = other, d
    if self.rows.by_inputs:
        put_rows(d, self.layers[0].before, self.rows.inputs, first, count, self.layers[0].inputs, self.size)


cdef void add_products(Layers self, const Layer *layer, const void *const *values, const char *d, char *gradient,
                       bint fresh, Py_ssize_t count) noexcept nogil:
    """The gradient of one layer: values times deltas, and deltas times 1."""
    cdef char *weights = gradient + layer.weights * self.size
    cdef char *biases = gradient + layer.biases * self.size
    cdef const void *ones = self.ones
    loops.multiply[self.kind](True, values, d, layer.row, weights, layer.outputs,
                              self.zeros if fresh else weights, 0 if fresh else layer.outputs, layer.inputs,
                              count, layer.outputs, False)
    loops.multiply[self.kind](False, &ones, d, layer.row, biases, layer.outputs,
                              self.zeros if fresh else biases, 0, 1, count, layer.outputs, False)


cdef int train(Layers self, const char *parameters, Optimizer optimizer, Epoch *run) except -1 nogil:
    """Batch after batch, until the rows are all seen or something is not finite."""
    cdef double loss
    cdef Py_ssize_t i
    cdef long long looked = steepest_milliseconds()
    self.rows.order = run.order
    while run.seen < run.rows:
        self.rows.order = run.order + run.seen
        self.rows.count = min(run.batch, run.rows - run.seen)
        self.rows.total = total_of(self)
        loss = run_rows(self, parameters)
        for i in range(self.rows.parts):
            if self.wrong[i] >= 0 and not 0 <= run.wrong < self.wrong[i]:
                run.wrong = self.wrong[i]
        if run.wrong < 0 and not isfinite(loss):
            run.wrong = <int>self.depth
        if run.wrong >= 0:
            return 0
        if run.rates != NULL:
            optimizer.set_rate(run.rates[run.made])
        optimizer.step_along(self.gradients)
        run.total += loss * self.rows.count
        run.seen += self.rows.count
        run.made += 1
        if steepest_milliseconds() - looked >= BETWEEN_CHECKS:
            looked = steepest_milliseconds()
            with gil:
                PyErr_CheckSignals()
                optimizer.check_parameter(0)
    return 0

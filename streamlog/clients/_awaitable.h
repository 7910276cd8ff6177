/* What Cython has no words for: ending an `await` with a result, at the cost of one store. */
#ifndef STREAMLOG_AWAITABLE_H
#define STREAMLOG_AWAITABLE_H
#include <Python.h>

/* The way an iterator says that what awaits it has `result`, which is no tuple and no exception. */
static PyObject *sl_returned(PyObject *result) {
    PyErr_SetObject(PyExc_StopIteration, result);
    return NULL;
}
static void sl_set_iternext(PyObject *type, PyObject *(*next)(PyObject *)) {
    ((PyTypeObject *) type)->tp_iternext = next;
}
#endif

/* Reads the attributes of records of msgspec fast. It is included before every compiled module (`setup.py`).

   mypyc knows where the attributes of its own classes lie. Those of a `msgspec.Struct` it asks Python for, by name, and
   Python looks them up in the type with each read: most of the time of a simulated step goes there. A Struct keeps an
   attribute in a slot, always at the same place of the object, so this remembers the place by type and name.

   What is remembered holds for one version of one type: Python takes a type's version away when anything about it
   changes, and gives none to two types. Python's own interpreter remembers slots in the same way. Whatever is no slot
   is read as ever. */

#ifndef STRUCT_ATTRIBUTES_H
#define STRUCT_ATTRIBUTES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#if !defined(Py_GIL_DISABLED) && !defined(PYPY_VERSION)

#define KEPT_SLOTS 256

typedef struct {
    PyTypeObject *type;
    unsigned int version;
    PyObject *name;
    Py_ssize_t offset;
} KeptSlot;

static KeptSlot kept_slots[KEPT_SLOTS];

static inline KeptSlot *kept_slot(PyTypeObject *type, PyObject *name) {
    unsigned int mixed = (unsigned int)((size_t)name >> 4) + type->tp_version_tag * 31u;
    return &kept_slots[(mixed * 2654435769u) >> 24];
}

/* The usual way; keeps the place if the attribute is a slot of the type's objects. */
static PyObject *read_and_keep(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    PyTypeObject *type = Py_TYPE(object);
    if (value != NULL && type->tp_getattro == PyObject_GenericGetAttr && PyUnicode_CheckExact(name)) {
        PyObject *found = _PyType_Lookup(type, name); /* borrowed; gives the type a version, if it has none */
        if (found != NULL && Py_IS_TYPE(found, &PyMemberDescr_Type) && type->tp_version_tag != 0
            && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG)) {
            PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
            if (member->type == T_OBJECT_EX && !(member->flags & READ_RESTRICTED)
                && PyType_IsSubtype(type, ((PyDescrObject *)found)->d_type)) {
                KeptSlot *kept = kept_slot(type, name);
                /* A name that is compared by its address must not be another one's address later. */
                Py_INCREF(name);
                Py_XSETREF(kept->name, name);
                kept->type = type;
                kept->version = type->tp_version_tag;
                kept->offset = member->offset;
            }
        }
    }
    return value;
}

static inline PyObject *read_attribute(PyObject *object, PyObject *name) {
    PyTypeObject *type = Py_TYPE(object);
    KeptSlot *kept = kept_slot(type, name);
    if (kept->type == type && kept->name == name && kept->version == type->tp_version_tag) {
        PyObject *value = *(PyObject **)((char *)object + kept->offset);
        if (value != NULL) { /* or it was deleted, and to read it is an error */
            return Py_NewRef(value);
        }
    }
    return read_and_keep(object, name);
}

#define PyObject_GetAttr(object, name) read_attribute((PyObject *)(object), (PyObject *)(name))

#endif
#endif

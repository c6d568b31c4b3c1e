#include "penstock/async/detail/root_task.h"
#include "penstock/async/detail/root_task.h"

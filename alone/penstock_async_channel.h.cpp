#include "penstock/async/channel.h"
#include "penstock/async/channel.h"

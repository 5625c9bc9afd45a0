from core.native import set_defaults

set_defaults()

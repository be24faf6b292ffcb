"""`python -m data.sample`: fill the warehouse with the built-in sample."""

import sys

from data.sample.filling import main

sys.exit(main())

from banks import *

from camera import *

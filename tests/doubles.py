"""Arrays on the emulated device that are not what they seem: stand-ins for other libraries, and for liars."""


class Liar:
    """An array whose interface differs from the truth in some entries."""

    __module__ = "curvblas._emu"  # decides about the backend

    def __init__(self, array, **lies):
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **lies}


class DlpackOnly:
    """An array on the emulated device that offers DLPack and nothing else, and asks for its consumer's stream."""

    __module__ = "curvblas._emu"

    def __init__(self, array, device=(2, 0), versioned=True):
        self.array, self.device, self.versioned, self.streams = array, device, versioned, []

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None, **options):
        if options and not self.versioned:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        self.streams.append(stream)
        return self.array.__dlpack__(stream=stream, **options)

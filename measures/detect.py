"""In how many of the faces does a detector find a face?"""

import statistics

from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from measures.needs import Missing


def faces_found(faces):
    """Share of the faces (N, 3, S, S) in which dlib's frontal detector (HOG) finds one, enlarged to 160 x 160, bicubic.

    Raises Missing without dlib.
    """
    try:
        import dlib
    except ImportError:
        raise Missing("faces found: not measured: pip install dlib-bin") from None
    detector = dlib.get_frontal_face_detector()  # holds Python's lock, so that threads would not help
    large = resize(faces, [160, 160], InterpolationMode.BICUBIC).permute(0, 2, 3, 1).contiguous().numpy()
    return statistics.fmean(len(detector(face)) > 0 for face in large)

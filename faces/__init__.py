"""The data: find faces, decode them once, show some; draw the default ones, or prepare photographs.

Called by the notebook, by way of helper.py:
    find.py      which folder of faces is used, and where the results on it go
    view.py      what a folder of faces holds, and a clean view of one that holds hidden folders and the like too
    decode.py    every picture decoded once and kept; the key by which two runs know that they share their pictures
    show.py      some faces, and a grid of them
    known.py     what is known about the drawn faces

Programs, run in the project's folder:
    draw.py      python -m faces.draw [FOLDER]        the embedded default faces
    prepare.py   python -m faces.prepare SOURCE       photographs, cut to the face
    download.py  python -m faces.download [MIRROR]    CelebA fetched and prepared

Beneath them:
    traits.py    what is random about a drawn face
    canvas.py    what drawn faces are painted with
    paint.py     a drawn face, painted part by part, lit and photographed
    pictures.py  one picture read as people see it, whatever its format, and nothing that is none
    sources.py   the zips, folders and Parquet files that prepare.py reads, none of them trusted
"""

"""What the peers' servers share: FastAPI on uvicorn, the gallery in memory, and the nearest embedding as the replaced service finds it."""

import pathlib
import socket

import numpy
import uvicorn
from fastapi import FastAPI, File, UploadFile

TOLERANCE = 0.45


def serve(known, faces):
    """Serves `/recognize` on a free port, which it prints, until it is ended.

    `known/<student_id>/*` are the known people. `faces` makes of an open picture its faces: each a box as (top, right, bottom, left) in whole
    pixels, and an embedding. The handler is a plain function, so FastAPI runs it on its threads: the best that this shape can do with
    several requests at once.
    """
    labels, encodings = [], []
    for path in sorted(pathlib.Path(known).glob("*/*")):
        with path.open("rb") as picture:
            for _, encoding in faces(picture):
                labels.append(path.parent.name)
                encodings.append(encoding)
    encodings = numpy.array(encodings)
    app = FastAPI()

    @app.get("/health")
    def health():
        return {"ok": True, "encodings": len(labels)}

    @app.post("/recognize")
    def recognize(image: UploadFile = File(...)):
        results = []
        for box, encoding in faces(image.file):
            # `face_recognition.face_distance`, to the letter.
            distances = numpy.linalg.norm(encodings - encoding, axis=1)
            best = int(numpy.argmin(distances))
            label = labels[best] if distances[best] <= TOLERANCE else "Unknown"
            results.append({"box": list(box), "label": label, "distance": round(float(distances[best]), 4)})
        return {"ok": True, "results": results}

    # asyncio turns Nagle's delay off only for sockets that name their protocol; without this each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    # Clients may connect from here on; uvicorn takes them over.
    listener.listen()
    print(f"listens on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])

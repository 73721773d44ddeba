"""The replaced service's HTTP shape: FastAPI on uvicorn, `face_recognition` on dlib, the gallery in memory.

    peer_server.py --known DIR --upsample 0|1

It takes a free port and prints it. `DIR/<student_id>/*` are the known people. The handler is a plain function, so FastAPI runs it on its threads: the
best that this shape can do with several requests at once.
"""

import argparse
import pathlib
import socket

import face_recognition
import numpy
import uvicorn
from fastapi import FastAPI, File, UploadFile

TOLERANCE = 0.45


def service(known, upsample):
    labels, encodings = [], []
    for path in sorted(pathlib.Path(known).glob("*/*")):
        for encoding in face_recognition.face_encodings(face_recognition.load_image_file(path)):
            labels.append(path.parent.name)
            encodings.append(encoding)
    encodings = numpy.array(encodings)
    app = FastAPI()

    @app.get("/health")
    def health():
        return {"ok": True, "encodings": len(labels)}

    @app.post("/recognize")
    def recognize(image: UploadFile = File(...)):
        pixels = face_recognition.load_image_file(image.file)
        boxes = face_recognition.face_locations(pixels, number_of_times_to_upsample=upsample, model="hog")
        results = []
        for box, encoding in zip(boxes, face_recognition.face_encodings(pixels, boxes)):
            distances = face_recognition.face_distance(encodings, encoding)
            best = int(numpy.argmin(distances))
            label = labels[best] if distances[best] <= TOLERANCE else "Unknown"
            results.append({"box": list(box), "label": label, "distance": round(float(distances[best]), 4)})
        return {"ok": True, "results": results}

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--known", required=True)
    parser.add_argument("--upsample", type=int, default=1)
    arguments = parser.parse_args()
    app = service(arguments.known, arguments.upsample)
    # asyncio turns Nagle's delay off only for sockets that name their protocol; without this each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    # Clients may connect from here on; uvicorn takes them over.
    listener.listen()
    print(f"listens on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])

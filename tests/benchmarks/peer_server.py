"""The replaced service's HTTP shape: FastAPI on uvicorn, `face_recognition` on dlib, the gallery in memory.

    peer_server.py --known DIR --upsample 0|1

It takes a free port and prints it. `DIR/<student_id>/*` are the known people.
"""

import argparse

import face_recognition

from serving import serve


def faces(picture, upsample):
    pixels = face_recognition.load_image_file(picture)
    boxes = face_recognition.face_locations(pixels, number_of_times_to_upsample=upsample, model="hog")
    return list(zip(boxes, face_recognition.face_encodings(pixels, boxes)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--known", required=True)
    parser.add_argument("--upsample", type=int, default=1)
    arguments = parser.parse_args()
    serve(arguments.known, lambda picture: faces(picture, arguments.upsample))

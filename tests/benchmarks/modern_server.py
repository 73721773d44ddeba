"""What one would write in Python today: FastAPI on uvicorn, OpenCV to decode and resize, ONNX Runtime for the networks.

    modern_server.py --known DIR --models DIR --min-size PIXELS

The networks are the service's own, `yunet_s.onnx` and `face_embedder.onnx`, and so is the size at which the detector looks. It takes
a free port and prints it. `DIR/<student_id>/*` are the known people.
"""

import argparse
import os
import pathlib

import cv2
import numpy
import onnxruntime

from serving import serve

MIN_SCORE = 0.6
MAX_OVERLAP = 0.3
STRIDES = (8, 16, 32)
# The side of the smallest face that the detector finds well, in pixels of its input.
DETECTOR_FACE = 25
CHIP = 150
# The middle of either eye in a chip as dlib aligns it, in pixels: the means of the eyes' corners in its average face.
EYES = numpy.array([[47.73, 47.14], [100.28, 47.12]], dtype=numpy.float32)
MEAN = numpy.array([122.782, 117.001, 104.298], dtype=numpy.float32)


def session(path):
    options = onnxruntime.SessionOptions()
    # One thread where there is one core; otherwise the runtime's own choice.
    if len(os.sched_getaffinity(0)) == 1:
        options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Recognizer:
    def __init__(self, models, min_size):
        models = pathlib.Path(models)
        self.detector = session(models / "yunet_s.onnx")
        self.embedder = session(models / "face_embedder.onnx")
        self.outputs = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
        self.scale = min(DETECTOR_FACE / min_size, 1.0)

    def detect(self, picture):
        """The faces of a BGR picture: boxes as (left, top, width, height), and the eyes' middles."""
        height, width = (max(1, round(side * self.scale)) for side in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        padded = numpy.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), dtype=numpy.uint8)
        padded[:height, :width] = small
        tensor = padded.astype(numpy.float32).transpose(2, 0, 1)[None]
        outputs = self.detector.run(self.outputs, {self.detector.get_inputs()[0].name: numpy.ascontiguousarray(tensor)})
        boxes, scores, eyes = [], [], []
        for at, stride in enumerate(STRIDES):
            cls, obj, bbox, kps = (outputs[at + 3 * kind].reshape(-1, n) for kind, n in enumerate((1, 1, 4, 10)))
            score = numpy.sqrt(cls.clip(0, 1) * obj.clip(0, 1))[:, 0]
            cells = numpy.nonzero(score > MIN_SCORE)[0]
            columns = padded.shape[1] // stride
            place = numpy.stack([cells % columns, cells // columns], axis=1)
            middle = (place + bbox[cells, :2]) * stride
            size = numpy.exp(bbox[cells, 2:]) * stride
            boxes.append(numpy.concatenate([middle - size / 2, size], axis=1))
            eyes.append((place[:, None] + kps[cells].reshape(-1, 5, 2)[:, :2]) * stride)
            scores.append(score[cells])
        boxes, eyes, scores = numpy.concatenate(boxes), numpy.concatenate(eyes), numpy.concatenate(scores)
        kept = cv2.dnn.NMSBoxes(boxes, scores, MIN_SCORE, MAX_OVERLAP) if len(boxes) else []
        return boxes[kept] / self.scale, eyes[kept] / self.scale

    def embed(self, picture, eyes):
        """The embedding of the face with these eyes, the one at the picture's left first."""
        turn, _ = cv2.estimateAffinePartial2D(eyes.astype(numpy.float32), EYES)
        chip = cv2.warpAffine(picture, turn, (CHIP, CHIP), flags=cv2.INTER_LINEAR)
        tensor = ((chip[:, :, ::-1] - MEAN) / 256).transpose(2, 0, 1)[None]
        name = self.embedder.get_inputs()[0].name
        return self.embedder.run(None, {name: numpy.ascontiguousarray(tensor, dtype=numpy.float32)})[0].reshape(-1)

    def faces(self, file):
        picture = cv2.imdecode(numpy.frombuffer(file.read(), dtype=numpy.uint8), cv2.IMREAD_COLOR)
        boxes, eyes = self.detect(picture)
        sides = lambda left, top, width, height: [round(float(v)) for v in (top, left + width, top + height, left)]
        return [(sides(*box), self.embed(picture, pair)) for box, pair in zip(boxes, eyes)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--known", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--min-size", type=int, default=40)
    arguments = parser.parse_args()
    cv2.setNumThreads(len(os.sched_getaffinity(0)))
    serve(arguments.known, Recognizer(arguments.models, arguments.min_size).faces)

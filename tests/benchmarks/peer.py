"""The replaced service's stages, as `face_recognition` runs them on dlib.

    peer.py worker              answers the requests that `attendance-bench worker` answers, one JSON line each
    peer.py first FRAME         loads everything and recognises one picture, as a cold process does
    peer.py recall --scenes DIR the boxes in every picture of a folder, as one JSON object
    peer.py progressive FROM TO writes a picture as a progressive JPEG, which costs a decoder most memory
"""

import argparse
import io
import json
import multiprocessing
import pathlib
import sys
import time


def measure(request, work, answer=lambda result: None):
    """The times of `work`, and what `answer` makes of its first result, which is not measured."""
    first = answer(work())
    wall, cpu = [], []
    begin = time.perf_counter()
    while len(wall) < request["least"] or time.perf_counter() - begin < request["seconds"]:
        cpu_before, before = time.process_time(), time.perf_counter()
        work()
        wall.append((time.perf_counter() - before) * 1e3)
        cpu.append((time.process_time() - cpu_before) * 1e3)
    return {"wall_ms": wall, "cpu_ms": cpu, "answer": first}


class Worker:
    def __init__(self):
        import dlib
        import face_recognition
        import face_recognition.api as api
        import numpy

        self.dlib, self.fr, self.api, self.numpy = dlib, face_recognition, api, numpy
        self.galleries = {}
        self.sessions = {}

    def answer(self, request):
        stage = request["stage"]
        if stage.startswith("match"):
            return self.match(request)
        data = pathlib.Path(request["frame"]).read_bytes()
        if stage == "decode":
            return measure(request, lambda: self.fr.load_image_file(io.BytesIO(data)), lambda a: [a.shape[1], a.shape[0]])
        if stage == "scan":
            return measure(request, lambda: self.scan(data, request), lambda found: found)
        image = self.fr.load_image_file(io.BytesIO(data))
        if stage == "detect_onnxruntime":
            return self.detect_onnxruntime(request)
        if stage == "detect":
            return measure(request, lambda: self.detect(image, request), lambda boxes: boxes)
        return self.face_stage(request, image)

    def detect(self, image, request):
        model = "hog" if request.get("detector", "hog") == "hog" else "cnn"
        upsample = 1 if request.get("min_size", 80) < 80 else 0
        return self.fr.face_locations(image, number_of_times_to_upsample=upsample, model=model)

    def scan(self, data, request):
        image = self.fr.load_image_file(io.BytesIO(data))
        boxes = self.detect(image, request)
        self.fr.face_encodings(image, boxes)
        return boxes

    def face_stage(self, request, image):
        top, right, bottom, left = self.detect(image, request)[0]
        rect = self.dlib.rectangle(left, top, right, bottom)
        predictor, encoder = self.api.pose_predictor_5_point, self.api.face_encoder
        shape = predictor(image, rect)
        chip = self.dlib.get_face_chip(image, shape, size=150, padding=0.25)
        if request["stage"] == "landmarks":
            return measure(request, lambda: predictor(image, rect), lambda s: [[p.x, p.y] for p in s.parts()])
        if request["stage"] == "align":
            return measure(request, lambda: self.dlib.get_face_chip(image, shape, size=150, padding=0.25))
        if request["stage"] == "embed":
            return measure(request, lambda: encoder.compute_face_descriptor(chip), list)
        return self.embed_onnxruntime(request, chip)

    def session(self, path):
        """ONNX Runtime's session of this network, on one thread."""
        import onnxruntime

        if path not in self.sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            self.sessions[path] = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return self.sessions[path]

    def detect_onnxruntime(self, request):
        """The service's own detector on a ready tensor: without decoding, resizing and choosing among boxes."""
        width, height = request["input"]
        tensor = self.numpy.random.default_rng(1).integers(0, 256, (1, 3, height, width)).astype(self.numpy.float32)
        session = self.session(request["model"])
        name = session.get_inputs()[0].name
        return measure(request, lambda: session.run(None, {name: tensor}))

    def embed_onnxruntime(self, request, chip):
        """The service's own network."""
        session = self.session(request["model"])
        mean = self.numpy.array([122.782, 117.001, 104.298], dtype=self.numpy.float32)
        tensor = ((chip.astype(self.numpy.float32) - mean) / 256).transpose(2, 0, 1)[None].copy()
        name = session.get_inputs()[0].name
        return measure(request, lambda: session.run(None, {name: tensor})[0], lambda e: e.flatten().tolist())

    def match(self, request):
        numpy, path = self.numpy, request["gallery"]
        if path not in self.galleries:
            # One at a time: a large one takes two gigabytes.
            self.galleries = {path: self.load_gallery(request)}
        gallery = self.galleries[path]
        probes = numpy.fromfile(request["probes"], dtype=numpy.float32).reshape(-1, 128)
        if request["stage"] == "match_faiss":
            nearest = lambda probe: gallery["faiss"].search(probe[None], 1)[1][0][0]
        else:
            # The replaced service's line: face_distance, then the smallest.
            probes = probes.astype(numpy.float64)
            nearest = lambda probe: self.fr.face_distance(gallery["numpy"], probe).argmin()
        answer = [int(nearest(probe)) for probe in probes]
        turn = iter(range(10**9))
        return measure(request, lambda: nearest(probes[next(turn) % len(probes)]), lambda _: answer)

    def load_gallery(self, request):
        numpy = self.numpy
        vectors = numpy.fromfile(request["gallery"], dtype=numpy.float32).reshape(-1, 128)
        gallery = {"numpy": vectors.astype(numpy.float64)}
        import faiss

        faiss.omp_set_num_threads(1)
        gallery["faiss"] = faiss.IndexFlatL2(128)
        gallery["faiss"].add(vectors)
        return gallery


def boxes_in(job):
    path, upsample = job
    import face_recognition

    image = face_recognition.load_image_file(path)
    return pathlib.Path(path).name, face_recognition.face_locations(image, upsample, "hog")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker")
    commands.add_parser("first").add_argument("frame")
    recall = commands.add_parser("recall")
    recall.add_argument("--scenes", required=True)
    recall.add_argument("--upsample", type=int, default=1)
    recall.add_argument("--processes", type=int, default=1)
    progressive = commands.add_parser("progressive")
    progressive.add_argument("picture")
    progressive.add_argument("into")
    arguments = parser.parse_args()

    if arguments.command == "worker":
        worker = Worker()
        for line in sys.stdin:
            print(json.dumps(worker.answer(json.loads(line))), flush=True)
    elif arguments.command == "progressive":
        import PIL.Image

        PIL.Image.MAX_IMAGE_PIXELS = None
        PIL.Image.open(arguments.picture).save(arguments.into, "JPEG", quality=60, progressive=True)
    elif arguments.command == "first":
        print(len(Worker().scan(pathlib.Path(arguments.frame).read_bytes(), {"min_size": 40})))
    else:
        jobs = [(str(path), arguments.upsample) for path in sorted(pathlib.Path(arguments.scenes).glob("*.jpg"))]
        with multiprocessing.Pool(arguments.processes) as pool:
            print(json.dumps(dict(pool.imap_unordered(boxes_in, jobs, chunksize=8))))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times this crate's `nearest` beside FAISS and numpy on the same rows, alternately, one thread each, one probe at a time.

    python3 -m venv target/matching-venv && target/matching-venv/bin/pip install faiss-cpu numpy
    cargo build --release -p attendance-matching --example nearest
    target/matching-venv/bin/python shared/matching/examples/peers.py target/release/examples/nearest

Prints medians in milliseconds. FAISS is asked `IndexFlatL2.search(probe, 1)`; numpy computes in float64 what
`face_recognition.face_distance` does. Ends with an error where the answers differ: the row's exact distance may exceed the
smallest one only by the rounding of float32.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import statistics
import subprocess
import sys
import tempfile
import time

import faiss
import numpy as np

D = 128


def unrelated(count, noise):
    return (0.115 * noise.standard_normal((count, D), dtype=np.float32)), 0.115 * noise.standard_normal((40, D), dtype=np.float32)


def photos(count, noise):
    """Three photographs a person; people 0.85 apart, mostly in a few directions, photographs of one 0.35."""
    spread = 0.125 / np.sqrt(1 + np.arange(D, dtype=np.float32) / 16)
    people = 0.1 * (np.arange(D) % 3).astype(np.float32) + spread * noise.standard_normal((count // 3 + 21, D), dtype=np.float32)
    again = lambda who: (people[who] + 0.022 * noise.standard_normal((len(who), D), dtype=np.float32)).astype(np.float32)
    # Half of the probes are of people who are not among the rows.
    probes = np.concatenate([noise.integers(0, count // 3, 20), np.arange(count // 3 + 1, count // 3 + 21)])
    return again(np.arange(count) % (count // 3)), again(noise.permutation(probes))


def timed(call):
    start = time.perf_counter()
    answer = call()
    return (time.perf_counter() - start) * 1e3, answer


def main(binary):
    faiss.omp_set_num_threads(1)
    print(f"{'rows':>9} {'kind':>10} {'ours ms':>9} {'faiss ms':>9} {'numpy ms':>9} {'x faiss':>8} {'x numpy':>8}")
    for count in (1_000, 100_000, 1_000_000):
        for kind in (unrelated, photos):
            rows, probes = kind(count, np.random.default_rng(7))
            index = faiss.IndexFlatL2(D)
            index.add(rows)
            # The replaced service's vectors are float64; a million of them would be timed mostly for their gigabytes.
            known = rows.astype(np.float64) if count <= 100_000 else None
            with tempfile.TemporaryDirectory() as folder:
                rows.tofile(f"{folder}/rows")
                probes.tofile(f"{folder}/probes")
                ours = subprocess.Popen(
                    [binary, f"{folder}/rows", f"{folder}/probes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                times = {"ours": [], "faiss": [], "numpy": []}
                for i, probe in enumerate(probes):
                    ours.stdin.write(f"{i}\n")
                    ours.stdin.flush()
                    row, squared, nanoseconds = ours.stdout.readline().split()
                    times["ours"].append(int(nanoseconds) / 1e6)
                    took, (_, found) = timed(lambda: index.search(probe[None], 1))
                    times["faiss"].append(took)
                    if known is not None:
                        took, _ = timed(lambda: np.linalg.norm(known - probe.astype(np.float64), axis=1).min())
                        times["numpy"].append(took)
                    exact = [np.linalg.norm(rows[r].astype(np.float64) - probe) for r in (int(row), int(found[0, 0]))]
                    if exact[0] > exact[1] * (1 + 1e-6) or abs(float(squared) ** 0.5 - exact[0]) > 1e-5:
                        sys.exit(f"probe {i}: row {row} at {exact[0]}, FAISS says {found} at {exact[1]}")
                ours.stdin.close()
                ours.wait()
            ms = {name: statistics.median(of) if of else float("nan") for name, of in times.items()}
            ratios = [ms[peer] / ms["ours"] for peer in ("faiss", "numpy")]
            print(
                f"{count:>9} {kind.__name__:>10} {ms['ours']:>9.4f} {ms['faiss']:>9.4f} {ms['numpy']:>9.4f} "
                f"{ratios[0]:>8.1f} {ratios[1]:>8.1f}"
            )


if __name__ == "__main__":
    main(sys.argv[1])

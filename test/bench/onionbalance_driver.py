"""The peer of the benchmark: OnionBalance's own functions, driven over standard input and output.

Run by /usr/bin/python3 where Debian's package "onionbalance" is installed:

    python3 onionbalance_driver.py FIXTURE.json

One JSON request a line, one JSON answer a line; every answer has "cpuNs" and "wallNs" of the measured call alone.

    {"do": "publish"}               both descriptors and their HSDirs, as OnionbalanceService does it
    {"do": "read", "text": "..."}   one backend descriptor: parsed and decrypted, not verified

Left out, in OnionBalance's favour: the import of its modules, loading key and consensus, its check whether to publish
(which derives both rings once more), and the upload. Its clock stands still, so that all runs do the same work.
"""
import base64
import datetime
import json
import sys
import time
import types

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stem.descriptor.hidden_service import HiddenServiceDescriptorV3

from onionbalance.common import log
from onionbalance.hs_v3 import consensus as ob_consensus
from onionbalance.hs_v3 import descriptor as ob_descriptor
from onionbalance.hs_v3 import instance as ob_instance
from onionbalance.hs_v3 import service as ob_service
from onionbalance.hs_v3 import tor_node
from onionbalance.hs_v3.onionbalance import my_onionbalance


def stop_clock(at):
    class StoppedClock(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return at

    stopped = types.SimpleNamespace(datetime=StoppedClock, timedelta=datetime.timedelta)
    for module in (ob_consensus, ob_descriptor, ob_instance, ob_service):
        module.datetime = stopped


def utc(seconds):
    return datetime.datetime.utcfromtimestamp(seconds)


def relay_node(relay):
    """What tor_node.Node reads of a relay; plain attributes, where stem's objects would decode theirs at first use."""
    return tor_node.Node(
        types.SimpleNamespace(identifiers={"ed25519": relay["ed25519"].rstrip("=")}),
        types.SimpleNamespace(
            fingerprint=relay["fingerprint"], protocols={"HSDir": [2]}, flags=("HSDir", "Running", "Valid")
        ),
    )


def load(fixture):
    log.get_logger().setLevel("ERROR")
    stop_clock(utc(fixture["now"]))
    my_onionbalance.is_testnet = False
    my_onionbalance.controller = types.SimpleNamespace(controller=None)
    consensus = ob_consensus.Consensus(do_refresh_consensus=False)
    consensus.consensus = types.SimpleNamespace(
        valid_after=utc(fixture["validAfter"]),
        valid_until=utc(fixture["validAfter"] + 3 * 3600),
        shared_randomness_current_value=fixture["currentSrv"],
        shared_randomness_previous_value=fixture["previousSrv"],
    )
    consensus.nodes = [relay_node(relay) for relay in fixture["relays"]]
    my_onionbalance.consensus = consensus

    service = ob_service.OnionbalanceService.__new__(ob_service.OnionbalanceService)
    service.is_priv_key_in_tor_format = False
    service.identity_priv_key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(fixture["seed"]))
    service.onion_address = HiddenServiceDescriptorV3.address_from_identity_key(service.identity_priv_key.public_key())
    service.instances = []
    for backend in fixture["backends"]:
        instance = ob_instance.InstanceV3(backend["address"])
        instance.register_descriptor(backend["descriptor"], backend["address"])
        service.instances.append(instance)
    service._upload_descriptor = lambda controller, descriptor, hsdirs: None
    return service


def timed(action):
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    result = action()
    return {"cpuNs": time.process_time_ns() - cpu, "wallNs": time.perf_counter_ns() - wall}, result


class Counters:
    """Time spent in the revision counters, which OnionBalance computes word by word."""

    def __init__(self):
        self.reset()
        original = ob_descriptor.OBDescriptor._get_revision_counter

        def measured(descriptor, *arguments):
            times, result = timed(lambda: original(descriptor, *arguments))
            for name in times:
                self.times[name] += times[name]
            return result

        ob_descriptor.OBDescriptor._get_revision_counter = measured

    def reset(self):
        self.times = {"cpuNs": 0, "wallNs": 0}


def publish(service, counters):
    service.first_descriptor = service.second_descriptor = None
    counters.reset()
    times, _ = timed(service.publish_descriptors)
    published = (service.first_descriptor, service.second_descriptor)
    return {
        **times,
        "counters": counters.times,
        "introPoints": [len(descriptor.get_intro_points()) for descriptor in published],
        "blindedKeys": [descriptor.get_blinded_key().hex() for descriptor in published],
        "hsdirs": [descriptor.responsible_hsdirs for descriptor in published],
    }


def read(fixture, text):
    times, received = timed(lambda: ob_descriptor.ReceivedDescriptor(text, fixture["readAddress"]))
    return {**times, "introPoints": len(received.get_intro_points())}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        fixture = json.load(file)
    service = load(fixture)
    counters = Counters()
    print(json.dumps({"address": service.onion_address, "python": sys.version.split()[0]}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = publish(service, counters) if request["do"] == "publish" else read(fixture, request["text"])
        print(json.dumps(answer), flush=True)


main()

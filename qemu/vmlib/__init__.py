"""The parts of qemu/vm: places, the KVM proof, QMP, the API's ping, QEMU's command line, machines."""

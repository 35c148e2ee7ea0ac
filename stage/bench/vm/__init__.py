"""A small virtual machine with a real kernel, a virtual camera and a looped sound card.

`machine` makes and boots it, `guest` is what runs inside, `proof` asks for a run and measures what
came out. Debian's kernel, `v4l2loopback` and `snd-aloop`, QEMU without KVM: any Debian machine can
do it, nothing is loaded into the kernel that runs it, and no device of its owner is touched.
"""

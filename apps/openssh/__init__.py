"""The drop zone on OpenSSH: the same accounts, view, areas and spool as `apps.dropzone`, served by Debian's sshd.

It needs root. It holds ciphertext, no key but the zone's host key, and no database; it imports only `core`, `schemas`
and parts of `apps.dropzone`. One program starts sshd and ends with it, so that no session goes on unrecorded.

    zone             the loop: starts sshd, listens to its log, follows the accounts file
    config           sshd's settings
    authorized_keys  what sshd asks for at each login
    users            a Unix user for each recipient, who can do nothing but SFTP
    chroots          what one recipient sees
    view             its deliveries, as hard links: only what is complete and visible
    landing          what it sent us, once its program closed the file
    sessions         who is logged in, with which key; pickups for the spool
    log              what OpenSSH's sftp-server says of one session, read without I/O
    processes        whose connection a process serves, as Linux tells
"""

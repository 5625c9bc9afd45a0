"""Our SFTP server, where recipients fetch their deliveries. It imports only `core` and `schemas`.

It holds ciphertext, no key but its own host key, and no database: who may log in stands in the accounts file, and what
was fetched is written to the spool. Everything that is not understood is refused.

    server     listens, starts a process for each connection, stops
    door       who may come in, and who makes room: rules
    connection one connection, and when it ends: idle, revoked, too long
    login      public keys only
    sftp       the requests that read, or send us a file; all others are refused
    namespace  the recipient's own folder as it sees it
    incoming   where a recipient may put a file for us, which appears when it is complete
    reading    one open file, and which bytes of it were sent
    spool      what was fetched, on disk before the session ends
    accounts   the accounts file as it is now
"""

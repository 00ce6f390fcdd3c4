-- Keys of devices and users, messages to devices, key backups. Keys are kept as they were given: JSON that only clients understand.

-- ordered: what devices of local users say of themselves. Signatures that were added later are in `key_signatures`.
CREATE TABLE device_keys (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, device_id),
    FOREIGN KEY (user_nid, device_id) REFERENCES devices (user_nid, device_id)
);

-- ordered: one-time keys that nobody has claimed yet, to be given out in the order of `position` (of the upload) and `key_id`.
CREATE TABLE one_time_keys (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, device_id, algorithm, key_id),
    FOREIGN KEY (user_nid, device_id) REFERENCES devices (user_nid, device_id)
);
CREATE INDEX one_time_keys_by_position ON one_time_keys (user_nid, device_id, algorithm, position, key_id);

-- ordered: the key of each algorithm that is given out, again and again, when there are no one-time keys left.
CREATE TABLE fallback_keys (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    used BOOLEAN NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, device_id, algorithm),
    FOREIGN KEY (user_nid, device_id) REFERENCES devices (user_nid, device_id)
);

-- ordered: the cross-signing keys of local users. `usage` is 1 for the master key, 2 for the self-signing and 3 for the user-signing key.
CREATE TABLE cross_signing_keys (
    user_nid BIGINT NOT NULL REFERENCES users (user_nid),
    usage BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    json BYTEA NOT NULL,
    PRIMARY KEY (user_nid, usage)
);

-- ordered: signatures of devices and cross-signing keys (`target`: a device id, or a public key) that were uploaded by themselves.
CREATE TABLE key_signatures (
    target_nid BIGINT NOT NULL REFERENCES users (user_nid),
    target TEXT NOT NULL,
    signer_nid BIGINT NOT NULL REFERENCES users (user_nid),
    key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (target_nid, target, signer_nid, key_id)
);
CREATE INDEX key_signatures_by_signer ON key_signatures (signer_nid, key_id);

-- ordered: the last change of what somebody (`viewer_nid`; 0 is everybody who shares a room) sees of a user's devices and keys.
CREATE TABLE device_list_changes (
    user_nid BIGINT NOT NULL,
    viewer_nid BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_nid, viewer_nid)
);
CREATE INDEX device_list_changes_by_position ON device_list_changes (position);

-- ordered: messages that wait for a device until it has acknowledged them. There is no foreign key to `devices`: the insert itself asks whether the
-- device is there.
CREATE TABLE to_device (
    user_nid BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    sender_nid BIGINT NOT NULL,
    kind TEXT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (user_nid, device_id, position)
);

-- free: versions of users' key backups. A deleted one stays as a row, so that its number is never given again. No process caches them; every change of
-- a version's keys moves its `etag` from the value it was decided on, in the same transaction.
CREATE TABLE key_backups (
    user_nid BIGINT NOT NULL REFERENCES users (user_nid),
    version BIGINT NOT NULL,
    algorithm TEXT NOT NULL,
    auth_data BYTEA NOT NULL,
    etag BIGINT NOT NULL,
    sessions BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (user_nid, version)
);

-- free: the room keys in a version of a backup. Written in the transaction that moves the version's `etag`.
CREATE TABLE key_backup_sessions (
    user_nid BIGINT NOT NULL,
    version BIGINT NOT NULL,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    first_message_index BIGINT NOT NULL,
    forwarded_count BIGINT NOT NULL,
    is_verified BOOLEAN NOT NULL,
    session_data BYTEA NOT NULL,
    PRIMARY KEY (user_nid, version, room_id, session_id),
    FOREIGN KEY (user_nid, version) REFERENCES key_backups (user_nid, version)
);

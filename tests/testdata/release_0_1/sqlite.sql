CREATE TABLE users (
    id INTEGER NOT NULL,
    email VARCHAR(320) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    is_active BOOLEAN NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (email)
);
CREATE TABLE clients (
    id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    name VARCHAR(200) NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_clients_user_id ON clients (user_id);
CREATE TABLE activity_logs (
    id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    action VARCHAR(50) NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_activity_logs_user_id ON activity_logs (user_id);
CREATE TABLE diagnostic_summaries (
    id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    client_id INTEGER,
    row_count INTEGER NOT NULL,
    total_debits VARCHAR(30) NOT NULL,
    total_credits VARCHAR(30) NOT NULL,
    difference VARCHAR(30) NOT NULL,
    balanced BOOLEAN NOT NULL,
    abnormal_balances INTEGER NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    FOREIGN KEY(client_id) REFERENCES clients (id) ON DELETE SET NULL
);
CREATE INDEX ix_diagnostic_summaries_client_id ON diagnostic_summaries (client_id);
CREATE INDEX ix_diagnostic_summaries_user_id ON diagnostic_summaries (user_id);
INSERT INTO users VALUES (1, 'ada@example.com', 'x', true, '2026-01-01 00:00:00');
INSERT INTO clients VALUES (1, 1, 'Engines', '2026-01-01 00:00:00');
INSERT INTO activity_logs VALUES (1, 1, 'registered', '2026-01-01 00:00:00');
INSERT INTO diagnostic_summaries VALUES (1, 1, 1, 2, '100.0000', '100.0000', '0.0000', true, 0, '2026-01-01 00:00:00');

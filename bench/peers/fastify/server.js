// What a Node developer writes first: an INSERT for each item, over a pool of 20 connections.
//
//   node server.js PORT MYSQL_PORT USER PASSWORD DATABASE
//
// POST /v1/items takes a JSON object and answers with its id once it is committed.

import Fastify from 'fastify'
import mysql from 'mysql2/promise'

const [port, mysqlPort, user, password, database] = process.argv.slice(2)

const pool = mysql.createPool({
  host: '127.0.0.1', port: Number(mysqlPort), user, password, database, charset: 'utf8mb4', connectionLimit: 20
})
await pool.query(`CREATE TABLE IF NOT EXISTS fastify_items (
  id BIGINT AUTO_INCREMENT PRIMARY KEY,
  data LONGTEXT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT NOW(6)
) ENGINE = InnoDB`)

const app = Fastify({ logger: false })
app.post('/v1/items', async (request) => {
  const [result] = await pool.execute('INSERT INTO fastify_items (data) VALUES (?)', [JSON.stringify(request.body)])
  return { id: result.insertId }
})
process.once('SIGTERM', async () => {
  await app.close()
  await pool.end()
})
await app.listen({ host: '127.0.0.1', port: Number(port) })

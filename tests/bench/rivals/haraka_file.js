'use strict'
// A plugin for Haraka: each mail becomes a file in $HARAKA_FILES, and is answered once that is synced and named.

const fs = require('node:fs')
const path = require('node:path')

exports.hook_queue = function (next, connection) {
    const transaction = connection.transaction
    const named = path.join(process.env.HARAKA_FILES, `${transaction.uuid}.eml`)
    const aside = path.join(path.dirname(named), `.${transaction.uuid}`)
    const file = fs.createWriteStream(aside, { autoClose: false })

    const fail = (error) => {
        connection.logerror(this, error.message)
        next(DENYSOFT, 'it could not be stored')
    }

    file.once('error', fail)
    file.once('finish', () => {
        fs.fsync(file.fd, (error) => {
            fs.closeSync(file.fd)
            if (error) return fail(error)
            fs.rename(aside, named, (error) => (error ? fail(error) : next(OK)))
        })
    })
    transaction.message_stream.pipe(file)
}

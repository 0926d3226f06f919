/* SPDX-License-Identifier: MIT
 *
 * crc32c: CRC-32C (Castagnoli), as RecordBatch v2 and all our own files use it.
 *
 * libisal where it is packaged (amd64), else a table. Vector: "123456789" gives 0xe3069283.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* CRC of a whole byte string. */
uint32_t crc32c(const void *p, size_t size);
/* Continues: crc32c_more(crc32c(a), b) == crc32c(ab). */
uint32_t crc32c_more(uint32_t crc, const void *p, size_t size);
/* The table version, kept callable so that the tests compare both. */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t size);

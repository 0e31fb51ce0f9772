/* What skopeo's complaint means. Its words are partly the registry's: pure, bounded, and fuzzed. */
#pragma once

#include "base/slice.h"
#include "ports/images.h"

#define SKOPEO_SENTENCE_MAX 300

/* Finds the complaint in what it wrote to stderr (lines of logrus: `level=fatal msg="..."`): the text
 * of the message, unescaped, without what it was doing (ours to say), cut in front where it is too
 * long. */
void skopeo_sentence(struct slice output, char ret_sentence[SKOPEO_SENTENCE_MAX + 1]);

/* IMAGE_FAILED where it is nothing known. */
enum image_result skopeo_meaning(struct slice output);

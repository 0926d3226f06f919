/* SPDX-License-Identifier: MIT
 *
 * layer_main: the empty program around each layer of the target `layers`. That it links is the
 * test: the layer's objects need no symbol but those of the layers to their right.
 */
int main(void)
{
    return 0;
}
